"""Result records, the ledger of finished cells, and the study folder that contains them."""
