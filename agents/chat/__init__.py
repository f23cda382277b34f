"""Language models behind an API as agents: any endpoint that speaks OpenAI's chat completions.

OpenAI's own, a server of vLLM, llama.cpp, Ollama or TGI, and the services that imitate it.

Raises:
    ImportError: httpx is not installed.
"""

try:
    import httpx  # noqa: F401
except ImportError as error:
    raise ImportError(
        'agents.chat needs the httpx library: pip install "textenvs[chat]"'
    ) from error

from agents.chat.agent import ChatAgent
from agents.chat.endpoint import ChatEndpoint
from agents.chat.prompts import PROMPTS

__all__ = ["PROMPTS", "ChatAgent", "ChatEndpoint"]
