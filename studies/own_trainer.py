"""The trainer of ``own_trainer.yaml``: a random forest on handwritten digits, which knows nothing of fgtune."""

from __future__ import annotations

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split


def forest(config, seed, report):
    """Grow the forest in as many steps as the trial has epochs, and report what it tells of digits held out."""
    inputs, labels = load_digits(return_X_y=True)
    train, test, known, wanted = train_test_split(inputs, labels, test_size=0.3, random_state=seed, stratify=labels)
    grown = RandomForestClassifier(max_depth=config["depth"], random_state=seed, warm_start=True)
    for epoch in range(1, report.epochs + 1):
        grown.n_estimators = config["trees"] * epoch // report.epochs
        grown.fit(train, known)
        report(accuracy=grown.score(test, wanted), log_loss=log_loss(wanted, grown.predict_proba(test)))
