"""What ``fgtune discover`` does around its studies: reading the data, making studies, keeping to a budget."""
