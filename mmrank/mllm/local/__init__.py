"""MLLMs whose weights are on this machine, through transformers: any vision-language or text-only chat checkpoint."""
