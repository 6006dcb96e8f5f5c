"""Fine classes of methods that learn none: clusters of features, and the cluster of any sample."""
