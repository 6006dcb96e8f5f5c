"""The offline HTML report of a study; the only package that imports plotly and jinja2."""
