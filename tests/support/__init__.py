"""What several tests share: study folders with made-up numbers, toy searches, tiny data sets in published layouts."""
