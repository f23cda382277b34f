"""What a language model is told of each task, by the task's name, before it sees a prompt."""

from __future__ import annotations

PROMPTS = {
    "qa": (
        "You answer questions about a passage. You are given the passage and, on the last line, "
        "the question. Reply with the answer alone, as short as possible and word for word as it "
        "stands in the passage: no sentence around it, no quotation marks, no full stop."
        "{no_answer}"
    ),
    "qa_span": (
        "You answer questions about a passage. You are given the passage and, on the last line, "
        "the question. Reply with the piece of the passage that is the answer, as short as "
        "possible and copied letter for letter: nothing else counts as an answer.{no_answer}"
    ),
    "ner": (
        "You tag named entities. You are given a sentence, its words parted by spaces, and on the "
        "last line its first word again. Reply with one tag for each word of the sentence, in "
        "order, parted by spaces, and nothing else; punctuation marks that stand alone are words. "
        "The tags are {labels}. B-X begins an entity of type X, I-X continues it, O is no entity. "
        "For the sentence 'A b c .' a reply looks like this: O O O O"
    ),
    "summarization": (
        "You summarize documents. You are given a document. Reply with its summary alone: the "
        "most important facts in one or two sentences, in the document's own words."
    ),
    "dialogue": (
        "You speak for the system in a dialogue with a user. You are given the dialogue so far; "
        "where it begins with a table, this is all that there is to choose from. Reply with the "
        "system's next turn alone, on one line, without 'System:'."
    ),
    "simulated_dialogue": (
        "You speak for the system in a dialogue with a user, who wants one of the rows of a table. "
        "You are given the table, whose first line says what its columns are, and the dialogue so "
        "far. Reply with the system's next turn alone, in one of these forms, as the user "
        "understands no others:\n"
        "What COLUMN would you like?\n"
        "How about NAME?\n"
        "The COLUMN is VALUE.\n"
        "Sorry, nothing fits.\n"
        "Goodbye.\n"
        "NAME is the first column. Ask about wishes that you do not know and that matter, one at a "
        "time; offer a row that meets all wishes, of which the last word counts; if there is none, "
        "say that nothing fits. Once an offer is accepted, answer what the user asks about it. Say "
        "goodbye when the user says that this is all. Every turn more than needed costs."
    ),
}
"""`{labels}` becomes the tags that the task has; `{no_answer}`, where its data has questions that
cannot be answered, `NO_ANSWER`."""

NO_ANSWER = " If the passage does not answer the question, reply with nothing at all."


def prompt_for(task: object) -> str | None:
    """The prompt for an environment's task; None for one that is not listed."""
    name = str(getattr(task, "name", ""))
    if name == "dialogue" and hasattr(task, "patience"):
        name = "simulated_dialogue"
    prompt = PROMPTS.get(name)
    if prompt is None:
        return None
    no_answer = NO_ANSWER if getattr(task, "has_unanswerable", False) else ""
    return prompt.format(labels=", ".join(getattr(task, "labels", ())), no_answer=no_answer)
