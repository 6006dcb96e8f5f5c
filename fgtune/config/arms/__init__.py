"""From a validated study to its plan: arms, cells, and what is checked about them."""
