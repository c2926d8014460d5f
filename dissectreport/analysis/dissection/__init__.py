"""Which concept each unit matches, under each rule, and how much better than chance."""
