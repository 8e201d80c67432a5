"""The one place where a conversation becomes token ids and a mask of what is learned: training, chat, serving, export.

`Renderer(ChatTemplate.named("model", tokenizer), tokenizer)` has `training`, `prompt` and their fitted forms.
`chat_template` is the sandbox, `template_run` and `template_spans` prove where people's text lies in a rendering,
`token_scan` finds special tokens outside of it, `answer_spans` finds what is learned.
"""

from nabot.rendering.chat_template import BUILTIN, OWN, ChatTemplate
from nabot.rendering.renderer import Rendered, Renderer, render_coloured

__all__ = ["BUILTIN", "OWN", "ChatTemplate", "Rendered", "Renderer", "render_coloured"]
