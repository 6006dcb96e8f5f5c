"""What speaks for or against a study's numbers, each a check that passes, warns or fails, with what to do about it."""
