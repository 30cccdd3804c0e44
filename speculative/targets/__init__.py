"""The large model whose text is kept, with its tokenizer, and the arm that answers with it and one draft."""
