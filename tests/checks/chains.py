#!/usr/bin/python3
"""bindings/langchain and bindings/llama-index.

LangChain's own suite (PyPI's langchain-tests) runs on the store, twice, and on the embeddings.
LlamaIndex has none on PyPI: there its SimpleVectorStore says what is right, in random queries with
every operator of its filters. Without a network both are skipped.
"""
import os
import random
import re
import shutil
import sys
import threading

from common import (ROOT, TINY, WORK, difference, last_line, main, ok, read, run, skip, steps,
                    write)
from pages import MARKER, fenced

FOLDER = f'{WORK}/chains'
EXTENSION = os.path.join(ROOT, 'build', 'latent.so')
# sqlite_latent as it is here, with the extension that make left (bindings/python/README.md).
SOURCE = {'LATENT_EXTENSION': EXTENSION, 'PYTHONPATH': os.path.join(ROOT, 'bindings', 'python'),
          'PYTHONDONTWRITEBYTECODE': '1'}
ENV = {**SOURCE, 'LATENT_MODEL': os.path.join(ROOT, TINY)}
SENTENCES = ('It is warm.', 'A man rides a horse.', 'A child plays in the snow.',
             'The train was late. I lost my umbrella there.', 'The soup is cold.')

SUITE = '''
import pytest
from langchain_latent import LatentEmbeddings, LatentVectorStore
from langchain_tests.integration_tests import (EmbeddingsIntegrationTests,
                                               VectorStoreIntegrationTests)
from langchain_tests.unit_tests import EmbeddingsUnitTests

class TestWithAnEmbedding(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self):
        yield LatentVectorStore(self.get_embeddings())

class TestWithoutAnEmbedding(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self):
        yield LatentVectorStore()

class Embeddings:
    embeddings_class = LatentEmbeddings
    embedding_model_params = {}

class TestEmbeddings(Embeddings, EmbeddingsIntegrationTests):
    pass

class TestEmbeddingsUnit(Embeddings, EmbeddingsUnitTests):
    pass
'''


def installed(name, module, *packages):
    """A folder of bindings/ in a virtual environment of its own. Gives its Python, or None."""
    venv = f'build/{name}'
    python = f'{venv}/bin/python'
    if not os.path.exists(python) or run([python, '-c', f'import {module}'])[0] != 0:
        why = steps((['/usr/bin/python3', '-m', 'venv', venv],
                     [f'{venv}/bin/pip', 'install', '-q', '--no-compile', 'setuptools>=75',
                      *packages]),
                    timeout=600)
        if why:
            skip(f'bindings/{name}', why)
            return None
    copy = f'{FOLDER}/{name}'                   # pip leaves files where it builds
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(f'bindings/{name}', copy)
    status, out = run([f'{venv}/bin/pip', 'install', '-q', '--no-deps', '--no-build-isolation',
                       '--force-reinstall', copy])
    ok(status == 0, f'bindings/{name} is installed', out[-1000:])
    return python


def inside(python, part):
    """A function of this file in that Python. Its outcomes are passed on."""
    status, out = run([python, __file__, f'--{part}'], **ENV)
    print(out, end='', flush=True)
    if status != 0 and 'not ok - ' not in out:
        ok(False, part, last_line(out))


def page_runs(page, *command):
    """The blocks of a page in turn, in a folder of their own, give what the ```text blocks show.

    command: what runs a file with one block after the other, each followed by a line MARKER.
    """
    blocks = fenced(read(page))
    code = [i for i, b in enumerate(blocks) if b[0] in ('python', 'sh')]
    shows = ("import sys\nprint('%s', flush=True)\n" if blocks[code[0]][0] == 'python'
             else "echo '%s'\n") % MARKER
    folder = os.path.abspath(f'{FOLDER}/{page.replace("/", "_")}')
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    os.symlink(os.path.abspath('sql'), f'{folder}/sql')
    write(f'{folder}/page', ''.join(blocks[i][1] + shows for i in code))
    status, out = run(['env', '-C', folder, *command, 'page'], **SOURCE)
    got = out.split(MARKER + '\n')
    for at, i in enumerate(code):
        if i + 1 < len(blocks) and blocks[i + 1][0] == 'text':
            expected = blocks[i + 1][1]
            ok(at < len(got) and got[at] == expected, f'{page}: what block {at + 1} prints',
               difference(expected, got[at] if at < len(got) else out))
    ok(status == 0, f'{page}: it runs to its end', out[-1000:])


# ---- LangChain ----
def langchain():
    python = installed('langchain', 'langchain_tests', 'langchain-core', 'langchain-tests')
    if not python:
        return
    write(f'{FOLDER}/test_standard.py', SUITE)
    status, out = run([python, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-o',
                       'asyncio_mode=auto', f'{FOLDER}/test_standard.py'], **ENV)
    passed = re.search(r'(\d+) passed', out)
    ok(status == 0 and passed and int(passed[1]) >= 50 and 'failed' not in out,
       "LangChain's own suite", out[-3000:])
    inside(python, 'langchain')
    page_runs('bindings/langchain/README.md', os.path.abspath(python))


def langchain_inside():
    from langchain_core.documents import Document
    from langchain_latent import LatentEmbeddings, LatentVectorStore
    path = f'{FOLDER}/langchain.db'
    if os.path.exists(path):
        os.remove(path)
    embeddings = LatentEmbeddings()
    for name, embedding in (('texts', None), ('vectors', embeddings)):
        store = LatentVectorStore(embedding, path, name)
        ok(store.similarity_search('x') == [], f'{name}: an empty store')
        ids = store.add_texts(SENTENCES, [{'n': i, 'lang': 'en' if i % 2 else "d'e"}
                                          for i in range(5)])
        langchain_searches(name, store, ids)
        again = LatentVectorStore(embedding, path, name)
        found = again.similarity_search('A man rides a horse.', 1)
        ok(found == store.get_by_ids([ids[1]]), f'{name}: the file is opened again', str(found))
        langchain_threads(name, store)
    made = LatentVectorStore.from_texts(['I am tired of you.', 'I hate my job.', 'I lost my job.'])
    imagined = made.imagine('I am tired of my job.', 5)
    texts = [d.page_content for d in made.similarity_search('x', 9)]
    ok(all(d.metadata['generated'] and len(d.metadata['parents']) > 1
           and d.page_content not in texts for d in imagined),
       'imagine(): no document says it', str(imagined))
    try:
        LatentVectorStore(embeddings).imagine('x')
        ok(False, 'imagine() of vectors is an error')
    except ValueError as e:
        ok('without an embedding' in str(e), 'imagine() of vectors is an error', str(e))
    one, = embeddings.embed_documents(['It is warm.'])
    ok(len(one) > 1 and max(abs(a - b) for a, b in zip(one, embeddings.embed_query('It is warm.')))
       < 1e-6, 'texts and questions have the same vector')
    documents = [Document(page_content='a', metadata={'deep': {'list': [1, None]}}, id='1')]
    made.add_documents(documents)
    ok(made.get_by_ids(['1']) == documents, 'metadata come back as they were')


def langchain_searches(name, store, ids):
    found = store.similarity_search_with_score('A man rides a horse.', 3)
    ok(found[0][0].id == ids[1] and found[0][1] < 1e-4 and len(found) == 3,
       f'{name}: the nearest first, with its distance', str(found))
    relevance = store.similarity_search_with_relevance_scores('A man rides a horse.', 5)
    ok(relevance[0][1] > 0.99 and all(0 <= r <= 1 for _, r in relevance), f'{name}: relevance',
       str(relevance))
    found = store.similarity_search('A man rides a horse.', 9, filter={'lang': "d'e"})
    ok({d.id for d in found} == {ids[0], ids[2], ids[4]}, f'{name}: a filter', str(found))
    found = store.similarity_search('x', 9, filter={'n': [1, 2], 'lang': 'en'})
    ok([d.id for d in found] == [ids[1]], f'{name}: several, each with several values', str(found))
    found = store.max_marginal_relevance_search('A man rides a horse.', 2)
    ok(found[0].id == ids[1] and len(found) == 2, f'{name}: diverse', str(found))
    retriever = store.as_retriever(search_kwargs={'k': 1})
    ok(retriever.invoke(SENTENCES[2])[0].id == ids[2], f'{name}: as a retriever')
    for filter, why in (({'n': {'$gt': 1}}, "n is {'$gt': 1}"),):
        try:
            store.similarity_search('x', filter=filter)
            ok(False, f'{name}: {filter} is an error')
        except ValueError as e:
            ok(why in str(e), f'{name}: {filter} is an error that says why', str(e))
    before = store.similarity_search('It is warm.', 9)
    try:
        store.add_texts(['a', 'b'], [{}, {'x': object()}])
        ok(False, f'{name}: metadata that are no JSON are an error')
    except TypeError:
        ok(store.similarity_search('It is warm.', 9) == before,
           f'{name}: after an error nothing has changed')


def langchain_threads(name, store):
    errors = []

    def work(thread):
        try:
            for i in range(5):
                store.add_texts([f'It rains in room {thread}.'], ids=[f'{thread} {i}'])
                store.similarity_search('rain', 2)
                store.delete([f'{thread} {i}'])
        except Exception as e:
            errors.append(repr(e))

    threads = [threading.Thread(target=work, args=(t,)) for t in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    n = len(store.similarity_search('rain', 100))
    ok(not errors and n == 5, f'{name}: six threads', f'{errors} {n}')


# ---- LlamaIndex ----
def llama_index():
    python = installed('llama-index', 'llama_index.core', 'llama-index-core')
    if python:
        inside(python, 'llama_index')
        page_runs('bindings/llama-index/README.md', os.path.abspath(python))


def random_filters(rng, depth=0):
    from llama_index.core.vector_stores import (FilterCondition, FilterOperator, MetadataFilter,
                                                MetadataFilters)
    operators = {'year': (FilterOperator.EQ, FilterOperator.NE, FilterOperator.GT,
                          FilterOperator.LT, FilterOperator.GTE, FilterOperator.LTE),
                 'lang': (FilterOperator.EQ, FilterOperator.IN, FilterOperator.NIN,
                          FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE,
                          FilterOperator.IS_EMPTY),
                 'tags': (FilterOperator.CONTAINS, FilterOperator.ANY, FilterOperator.ALL)}
    several = (FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY, FilterOperator.ALL)

    def one():
        key = rng.choice(list(operators))
        operator = rng.choice(operators[key])
        values = {'year': [2000, 2003, 2007], 'lang': ['en', 'de', 'E', 'fr'],
                  'tags': ['a', 'b', 'c']}[key]
        value = rng.sample(values, 2) if operator in several else rng.choice(values)
        return MetadataFilter(key=key, operator=operator, value=value)

    return MetadataFilters(filters=[one() for _ in range(rng.randint(1, 3))],
                           condition=rng.choice(list(FilterCondition)))


def llama_index_inside():
    from llama_index.core import Document, StorageContext, VectorStoreIndex
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
    from llama_index.core.vector_stores import SimpleVectorStore, VectorStoreQuery
    from llama_index.core.vector_stores.types import VectorStoreQueryMode
    from llama_index.vector_stores.latent import LatentEmbedding, LatentVectorStore
    rng = random.Random(21)
    path = f'{FOLDER}/llama.db'
    if os.path.exists(path):
        os.remove(path)
    point = lambda: [rng.gauss(0, 1) for _ in range(16)]
    nodes = []
    for i in range(300):
        metadata = {'year': rng.randint(2000, 2009), 'tags': rng.sample('abcd', rng.randint(0, 3))}
        if rng.random() < 0.8:
            metadata['lang'] = rng.choice(['en', 'de', 'EN-us', ''])
        node = TextNode(id_=f'n{i}', text=f'Text {i}\n"quoted"', metadata=metadata,
                        embedding=point())
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=f'd{i % 7}')
        nodes.append(node)
    store, truth = LatentVectorStore(path), SimpleVectorStore()
    empty = store.query(VectorStoreQuery(query_embedding=point(), similarity_top_k=3))
    ok(empty.ids == [] and empty.nodes == [], 'an empty store')
    for to in (store, truth):
        ok(to.add(nodes) == [n.node_id for n in nodes], 'nodes are added')

    def agree(name, n, **query):
        wrong = []
        for _ in range(n):
            q = VectorStoreQuery(query_embedding=point(), similarity_top_k=rng.randint(1, 12),
                                 **{k: v() for k, v in query.items()})
            expected, got = truth.query(q), store.query(q)
            if (list(expected.ids) != got.ids or [n.node_id for n in got.nodes] != got.ids or any(
                    abs(a - b) > 1e-5 for a, b in zip(expected.similarities, got.similarities))):
                wrong.append(f'{q.filters}: {expected.ids} {got.ids}')
        ok(not wrong, f'{name}: {n} queries give what SimpleVectorStore gives',
           '\n'.join(wrong[:3]))

    agree('queries', 100)
    agree('filters', 300, filters=lambda: random_filters(rng))
    agree('node_ids', 50, node_ids=lambda: [f'n{rng.randint(0, 400)}' for _ in range(20)])
    got = store.query(VectorStoreQuery(query_embedding=point(), similarity_top_k=50,
                                       doc_ids=['d3', 'd5']))
    ok(len(got.ids) == 50 and {n.ref_doc_id for n in got.nodes} == {'d3', 'd5'}, 'doc_ids')
    got = store.query(VectorStoreQuery(query_embedding=nodes[3].embedding, similarity_top_k=5,
                                       mode=VectorStoreQueryMode.MMR))
    ok(got.ids[0] == 'n3' and len(set(got.ids)) == 5, 'mmr', str(got.ids))
    try:
        store.query(VectorStoreQuery(query_embedding=point(), mode=VectorStoreQueryMode.HYBRID))
        ok(False, 'another mode is an error')
    except ValueError as e:
        ok('neither default nor mmr' in str(e), 'another mode is an error', str(e))
    kept = store.get_nodes(['n9'])[0]
    ok((kept.text, kept.metadata, kept.ref_doc_id)
       == (nodes[9].text, nodes[9].metadata, nodes[9].ref_doc_id), 'a node comes back as it was',
       str(kept))
    moved = [n.model_copy(update={'embedding': point()}) for n in nodes[::5]]
    for to in (store, truth):
        to.delete('d2')
        to.delete_nodes(['n0', 'n1'])
        to.delete_nodes(filters=random_filters(random.Random(4)))
        to.add(moved)
    agree('after deletes and overwritten nodes', 100, filters=lambda: random_filters(rng))
    store = LatentVectorStore(path)
    agree('opened again', 20)
    nested_filters(store)
    store.clear()
    ok(store.get_nodes() == [], 'clear()')
    index = VectorStoreIndex.from_documents(
        [Document(text=t) for t in SENTENCES], embed_model=LatentEmbedding(),
        storage_context=StorageContext.from_defaults(vector_store=LatentVectorStore()))
    found = index.as_retriever(similarity_top_k=1).retrieve('A man rides a horse.')
    ok(found[0].text == 'A man rides a horse.' and found[0].score > 0.99,
       'an index with the embeddings of latent', str(found))


def nested_filters(store):
    from llama_index.core.vector_stores import FilterCondition, MetadataFilter, MetadataFilters
    is_old = MetadataFilter(key='year', value=2004, operator='<')
    either = MetadataFilters(filters=[MetadataFilter(key='lang', value='en'),
                                      MetadataFilter(key='lang', value='de')],
                             condition=FilterCondition.OR)
    got = store.get_nodes(filters=MetadataFilters(filters=[is_old, either]))
    expected = [n.node_id for n in store.get_nodes()
                if n.metadata['year'] < 2004 and n.metadata.get('lang') in ('en', 'de')]
    ok(expected and [n.node_id for n in got] == expected, 'filters within filters')


if __name__ == '__main__':
    parts = {'--langchain': langchain_inside, '--llama_index': llama_index_inside}
    if sys.argv[1:]:
        main(parts[sys.argv[1]])
    main(langchain, llama_index)
