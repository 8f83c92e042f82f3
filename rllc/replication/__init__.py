"""This paper and nothing else: its numbers, claims, open questions, laws, figures and report."""
