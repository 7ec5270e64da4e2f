"""Where runs leave their files, and the report that reads them."""
