"""What the parts of an ablation are worth together: redundancy, synergy, interactions of pairs, Shapley shares."""
