"""What a discovery found: how many classes, which method, what each class looks like, and how sure that is."""
