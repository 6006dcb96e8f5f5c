"""From a validated study to its plan: arms, cells, and checks of them."""
