"""The words sent to models: data files with named slots, and what reads and checks them."""

from mmrank.prompts.file import PromptFile, QueryTemplates, load_prompt, prompt_names

__all__ = ["PromptFile", "QueryTemplates", "load_prompt", "prompt_names"]
