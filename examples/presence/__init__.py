"""Who is here: names, over all windows and servers."""
