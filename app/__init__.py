"""The pages: what a person sees of VAEscope."""
