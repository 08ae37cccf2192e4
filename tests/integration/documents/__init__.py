"""Pages that build a project, read as their readers do: files written, commands run, pages opened."""
