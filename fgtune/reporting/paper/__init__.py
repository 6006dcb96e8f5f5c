"""Figures of a study for papers, drawn offline from the numbers of its report."""
