"""How the bundled models are trained. Needs torch and open_clip; nothing else in the toybox does."""
