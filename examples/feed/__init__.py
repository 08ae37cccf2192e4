"""A feed: what is saved reaches every page, also those that were away for a while."""
