"""From the text of a study file to a validated ``Study``, with the place of every value for messages."""
