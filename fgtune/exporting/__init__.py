"""Trained models as files, and predictions from them."""
