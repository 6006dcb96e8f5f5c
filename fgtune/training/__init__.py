"""Training one trial: a plain iterator of epochs that knows nothing of Ray, MLflow, Optuna or Plotly."""
