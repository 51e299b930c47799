"""Five changes that a direction may make to a sentence, each by a rule: pairs to learn the direction from, and a check that the change happened.

A rule's change(sentence) gives the changed sentence, or None where it does not apply; happened(text) looks at the words of what came out.
"""
import re

PAST = {'is': 'was', 'are': 'were', 'has': 'had', 'does': 'did', 'can': 'could', 'will': 'would', 'says': 'said', 'goes': 'went', 'comes': 'came',
        'makes': 'made', 'takes': 'took', 'gives': 'gave', 'gets': 'got', 'knows': 'knew', 'thinks': 'thought', 'wants': 'wanted', 'lives': 'lived',
        'plays': 'played', 'likes': 'liked', 'works': 'worked', 'looks': 'looked', 'needs': 'needed', 'uses': 'used', 'begins': 'began'}
PLURAL = {'is': 'are', 'was': 'were', 'has': 'have', 'this': 'these', 'that': 'those', 'man': 'men', 'woman': 'women', 'child': 'children',
          'person': 'people', 'wife': 'wives', 'life': 'lives', 'foot': 'feet', 'series': 'series', 'species': 'species'}
NO_NOUNS = 'first second third last only same other next former latter following most rest above best few many one two three'.split()
CONTRACTED = {'do not': "don't", 'does not': "doesn't", 'did not': "didn't", 'is not': "isn't", 'are not': "aren't", 'was not': "wasn't", 'were not': "weren't",
              'cannot': "can't", 'will not': "won't", 'would not': "wouldn't", 'could not': "couldn't", 'have not': "haven't", 'has not': "hasn't",
              'it is': "it's", 'that is': "that's", 'there is': "there's", 'he is': "he's", 'she is': "she's", 'what is': "what's", 'i am': "i'm",
              'i have': "i've", 'i will': "i'll", 'you are': "you're", 'we are': "we're", 'they are': "they're"}


def any_word(table):
    return re.compile(r'\b(' + '|'.join(table) + r')\b')


PRESENT_WORD, PAST_WORD = any_word(PAST), any_word(PAST.values())
FULL, SHORT = re.compile(any_word(CONTRACTED).pattern, re.I), re.compile(r"(n't|'m|'ve|'ll|'re)\b|\b(it|that|there|he|she|what)'s\b", re.I)
NOT = re.compile(r"\b(not|never|no|nobody|nothing|none|cannot)\b|n't\b", re.I)
SUBJECT = re.compile(r'^(The|This|That|His|Her|My|Our|Your|Their) (\w+) (is|was|has)\b')
STATEMENT = re.compile(r"^(He|She|It|They|We|You|I|There|This|That|Tom|Mary) (is|was|are|were|can|will|had|could|should|would) (.+)\.$")


def to_past(s):
    return None if PAST_WORD.search(s) or not PRESENT_WORD.search(s) else PRESENT_WORD.sub(lambda m: PAST[m[1]], s)


def to_many(s):
    m = SUBJECT.match(s)
    if not m or m[2][-1] == 's' or m[2] in NO_NOUNS:
        return None
    ending = re.sub(r'([^aeiou])ys$', r'\1ies', re.sub(r'(s|x|ch|sh)s$', r'\1es', m[2] + 's'))
    return ' '.join([PLURAL.get(m[1].lower(), m[1]).capitalize(), PLURAL.get(m[2], ending), PLURAL[m[3]]]) + s[m.end():]


def to_not(s):
    return None if NOT.search(s) else re.subn(r'\b(is|are|was|were|will|could|would|should)\b', r'\1 not', s, count=1)[0]


def to_question(s):
    m = STATEMENT.match(s)
    return m and f'{m[2].capitalize()} {m[1] if m[1] in ("I", "Tom", "Mary") else m[1].lower()} {m[3]}?'


def to_short(s):
    return None if SHORT.search(s) else FULL.sub(lambda m: m[0][0] + CONTRACTED[m[0].lower()][1:], s)


# name, change(sentence), happened(text)
DIRECTIONS = [
    ('tense: present to past', to_past, lambda t: bool(PAST_WORD.search(t)) and not PRESENT_WORD.search(t)),
    ('number: one to many', to_many, lambda t: bool(re.search(r'\b(are|were|have)\b', t)) and not re.search(r'\b(is|was|has)\b', t)),
    ('negation', to_not, lambda t: bool(NOT.search(t))),
    ('statement to question', to_question, lambda t: t.endswith('?')),
    ('register: full forms to contractions', to_short, lambda t: bool(SHORT.search(t)) and not FULL.search(t)),
]

SHE = {'he': 'she', 'his': 'her', 'him': 'her', 'himself': 'herself', 'man': 'woman', 'men': 'women', 'boy': 'girl', 'boys': 'girls', 'father': 'mother', 'son': 'daughter',
       'brother': 'sister', 'husband': 'wife'}
HE_WORD, SHE_WORD = re.compile(any_word(SHE).pattern, re.I), re.compile(any_word({*SHE.values(), 'hers'}).pattern, re.I)


def to_she(s):
    return None if SHE_WORD.search(s) else HE_WORD.sub(lambda m: SHE[m[0].lower()].capitalize() if m[0][0].isupper() else SHE[m[0].lower()], s)


def to_future(s):
    return None if re.search(r'\b(will|not)\b|ing\b', s) else re.subn(r'\b(is|are|am)\b', 'will be', s, count=1)[0]


# What training shows as steps that are alike everywhere (train.py): the five, and some that the scoreboard does not ask for.
CHANGES = dict(zip(('tense', 'number', 'negation', 'question', 'contraction'), (change for _, change, _ in DIRECTIONS))) | {
    'she': to_she, 'future': to_future, 'shout': lambda s: s[:-1] + '!' if s[-1] == '.' else None, 'plain': lambda s: s[:-1].lower() if s[-1] == '.' else None}


def pairs(texts, change):
    """(sentence, changed sentence) for all that the rule changes."""
    for text in texts:
        changed = change(text)
        if changed and changed != text:
            yield text, changed
