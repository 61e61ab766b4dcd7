"""What is drawn on a terminal: text while it comes, as Markdown or thoughts, progress meanwhile, and trees."""
