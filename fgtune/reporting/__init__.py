"""The offline HTML report of a study; the only place that imports plotly and jinja2."""
