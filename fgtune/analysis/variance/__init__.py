"""What the spread over seeds consists of: the shares of split, initial weights, order, and runs that do not repeat."""
