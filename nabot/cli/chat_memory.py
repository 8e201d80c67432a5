"""What a chat remembers. In: questions and answers, out: the conversation that the model is to answer next."""

from dataclasses import dataclass, field

from nabot.conversation import Conversation, Message
from nabot.textmodel import Sampling


@dataclass
class Memory:
    """System prompt, sampling and turns. The first `forgotten` turns no longer fit, but can still be saved."""

    system: str
    sampling: Sampling
    turns: list[Message] = field(default_factory=list)
    forgotten: int = 0

    def asking(self, question: str) -> Conversation:
        """What the model has to answer: everything it still remembers, and the question. Changes nothing."""
        return self._with_system([*self.turns[self.forgotten :], Message("user", question)])

    def remember(self, asked: Conversation, answer: str, *, whole: bool) -> None:
        """Adds the last question of `asked` (what the model really saw) and its answer.

        An answer that was stopped halfway or cut off is kept, but is nothing to learn from (`train=False`): it would
        teach to end there.
        """
        seen = [message for message in asked.messages if message.role != "system"]
        self.turns += [seen[-1], Message("assistant", answer, train=whole)]
        self.forgotten = len(self.turns) - len(seen) - 1

    def reset(self) -> None:
        """Forgets all turns; system prompt and sampling stay."""
        self.turns, self.forgotten = [], 0

    def whole(self) -> Conversation:
        """Everything that was said, also what the model has forgotten."""
        return self._with_system(self.turns)

    def _with_system(self, turns: list[Message]) -> Conversation:
        return Conversation(tuple(turns)).with_system(self.system)
