"""Changes that a direction may make to a sentence, each by a rule.

For five of them there are pairs to learn the direction from, and a check that the change happened.

A rule's change(sentence) gives the changed sentence, or None where it does not apply.
happened(text) looks at the words of what came out.
"""
import re

PAST = {
    'is': 'was', 'are': 'were', 'has': 'had', 'does': 'did', 'can': 'could', 'will': 'would',
    'says': 'said', 'goes': 'went', 'comes': 'came', 'makes': 'made', 'takes': 'took',
    'gives': 'gave', 'gets': 'got', 'knows': 'knew', 'thinks': 'thought', 'wants': 'wanted',
    'lives': 'lived', 'plays': 'played', 'likes': 'liked', 'works': 'worked', 'looks': 'looked',
    'needs': 'needed', 'uses': 'used', 'begins': 'began'}
PLURAL = {
    'is': 'are', 'was': 'were', 'has': 'have', 'this': 'these', 'that': 'those', 'man': 'men',
    'woman': 'women', 'child': 'children', 'person': 'people', 'wife': 'wives', 'life': 'lives',
    'foot': 'feet', 'series': 'series', 'species': 'species'}
NO_NOUNS = ('first second third last only same other next former latter following most rest above '
            'best few many one two three').split()
CONTRACTED = {
    'do not': "don't", 'does not': "doesn't", 'did not': "didn't", 'is not': "isn't",
    'are not': "aren't", 'was not': "wasn't", 'were not': "weren't", 'cannot': "can't",
    'will not': "won't", 'would not': "wouldn't", 'could not': "couldn't", 'have not': "haven't",
    'has not': "hasn't", 'it is': "it's", 'that is': "that's", 'there is': "there's",
    'he is': "he's", 'she is': "she's", 'what is': "what's", 'i am': "i'm", 'i have': "i've",
    'i will': "i'll", 'you are': "you're", 'we are': "we're", 'they are': "they're"}


def any_word(table):
    return re.compile(r'\b(' + '|'.join(table) + r')\b')


PRESENT_WORD, PAST_WORD = any_word(PAST), any_word(PAST.values())
FULL = re.compile(any_word(CONTRACTED).pattern, re.I)
SHORT = re.compile(r"(n't|'m|'ve|'ll|'re)\b|\b(it|that|there|he|she|what)'s\b", re.I)
NOT = re.compile(r"\b(not|never|no|nobody|nothing|none|cannot)\b|n't\b", re.I)
SUBJECT = re.compile(r'^(The|This|That|His|Her|My|Our|Your|Their) (\w+) (is|was|has)\b')
STATEMENT = re.compile(r'^(He|She|It|They|We|You|I|There|This|That|Tom|Mary) '
                       r'(is|was|are|were|can|will|had|could|should|would) (.+)\.$')


def to_past(s):
    if PAST_WORD.search(s) or not PRESENT_WORD.search(s):
        return None
    return PRESENT_WORD.sub(lambda m: PAST[m[1]], s)


def is_past(text):
    return bool(PAST_WORD.search(text)) and not PRESENT_WORD.search(text)


def to_many(s):
    m = SUBJECT.match(s)
    if not m or m[2][-1] == 's' or m[2] in NO_NOUNS:
        return None
    ending = re.sub(r'([^aeiou])ys$', r'\1ies', re.sub(r'(s|x|ch|sh)s$', r'\1es', m[2] + 's'))
    subject = [PLURAL.get(m[1].lower(), m[1]).capitalize(), PLURAL.get(m[2], ending), PLURAL[m[3]]]
    return ' '.join(subject) + s[m.end():]


def is_many(text):
    one = re.search(r'\b(is|was|has)\b', text)
    return bool(re.search(r'\b(are|were|have)\b', text)) and not one


def to_not(s):
    if NOT.search(s):
        return None
    return re.sub(r'\b(is|are|was|were|will|could|would|should)\b', r'\1 not', s, count=1)


def is_negative(text):
    return bool(NOT.search(text))


def to_question(s):
    m = STATEMENT.match(s)
    if not m:
        return None
    subject = m[1] if m[1] in ('I', 'Tom', 'Mary') else m[1].lower()
    return f'{m[2].capitalize()} {subject} {m[3]}?'


def is_question(text):
    return text.endswith('?')


def to_short(s):
    if SHORT.search(s):
        return None
    return FULL.sub(lambda m: m[0][0] + CONTRACTED[m[0].lower()][1:], s)


def is_short(text):
    return bool(SHORT.search(text)) and not FULL.search(text)


# name, change(sentence), happened(text)
DIRECTIONS = [
    ('tense: present to past', to_past, is_past),
    ('number: one to many', to_many, is_many),
    ('negation', to_not, is_negative),
    ('statement to question', to_question, is_question),
    ('register: full forms to contractions', to_short, is_short),
]

SHE = {
    'he': 'she', 'his': 'her', 'him': 'her', 'himself': 'herself', 'man': 'woman', 'men': 'women',
    'boy': 'girl', 'boys': 'girls', 'father': 'mother', 'son': 'daughter', 'brother': 'sister',
    'husband': 'wife'}
HE_WORD = re.compile(any_word(SHE).pattern, re.I)
SHE_WORD = re.compile(any_word({*SHE.values(), 'hers'}).pattern, re.I)


def to_she(s):
    def her(m):
        word = SHE[m[0].lower()]
        return word.capitalize() if m[0][0].isupper() else word

    return None if SHE_WORD.search(s) else HE_WORD.sub(her, s)


def to_future(s):
    if re.search(r'\b(will|not)\b|ing\b', s):
        return None
    return re.sub(r'\b(is|are|am)\b', 'will be', s, count=1)


def to_shout(s):
    return s[:-1] + '!' if s[-1] == '.' else None


def to_plain(s):
    return s[:-1].lower() if s[-1] == '.' else None


# What training shows as steps that are alike everywhere (train.py): the five, and some that the
# scoreboard does not ask for.
CHANGES = {
    'tense': to_past,
    'number': to_many,
    'negation': to_not,
    'question': to_question,
    'contraction': to_short,
    'she': to_she,
    'future': to_future,
    'shout': to_shout,
    'plain': to_plain,
}


def pairs(texts, change):
    """(sentence, changed sentence) for all that the rule changes."""
    for text in texts:
        changed = change(text)
        if changed and changed != text:
            yield text, changed
