"""Searches: Optuna proposes, the ledger decides."""
