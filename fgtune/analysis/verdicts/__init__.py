"""How a contrast is judged: its statistics, power and looks, what undoes an answer, and the verdict."""
