"""The arithmetic under the learners: a few verbs over one flat weight vector. See `torch_engine` for what they do."""
