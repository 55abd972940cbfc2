"""The pages, the schemas and what is made by scripts: that they are true and current."""
