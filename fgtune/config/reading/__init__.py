"""From the text of a study file to a validated ``Study`` that knows where every value was given."""
