"""Where it is written what images show: in their names, in a table, or in the files themselves."""
