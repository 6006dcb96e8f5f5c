"""Trained models as files, and predictions with them."""
