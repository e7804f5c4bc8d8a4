"""A comparison of cells for people: sentences, a table, pictures, and the page that holds them."""
