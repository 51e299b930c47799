#!/usr/bin/python3
"""The shards of shards.py as actors of Ray, so that they can lie on many machines.

    build/many/bin/python examples/shards/ray_shards.py FOLDER 'a quiet place by the sea'

searches a folder that shards.py has built. As a library, after ray.init():

    with RayShards(FOLDER, place=lambda number: {'resources': {f'shard-{number}': 1}}) as rows:
        rows.search('a quiet place by the sea', 10)

place gives the options of each actor (Ray's .options()). A shard must run where its file is: start
each node with the shards it has, `ray start --resources '{"shard-0": 1, "shard-1": 1}'`, with the
folder at the same path, and shards.json and the weights on each. Without place Ray chooses.
"""
import sys

import ray

import shards
from shards import Shard, ShardError, Shards, shard_path

for module in ({'shards', __name__} - {'__main__'}):     # the other nodes need no copy of them
    ray.cloudpickle.register_pickle_by_value(sys.modules[module])


class RayShard:
    """The actor. It opens its shard at the first request, so that an error is a reply."""

    def __init__(self, path, number, about):
        self.arguments, self.shard = (path, number, about), None

    def reply(self, method, arguments):
        try:
            self.shard = self.shard or Shard(*self.arguments)
            return True, getattr(self.shard, method)(*arguments)
        except ShardError as e:
            return False, str(e)
        except Exception as e:
            return False, f'{self.arguments[0]}: {e}'


class RayShards(Shards):
    """Shards whose start(), ask() and close() are Ray's; all else is the same."""

    def start(self, place=lambda number: {}, seconds=60):
        """seconds: so long it waits for a node that can run each shard."""
        actor = ray.remote(num_cpus=0)(RayShard)       # it may share a core with another
        self.workers = [actor.options(**place(number)).remote(
            shard_path(self.folder, number), number, self.about) for number in range(self.n)]
        started = [worker.__ray_ready__.remote() for worker in self.workers]
        ready, waiting = ray.wait(started, num_returns=self.n, timeout=seconds)
        if waiting:
            numbers = [i for i, one in enumerate(started) if one in waiting]
            places = [place(i) for i in numbers]
            self.close()
            raise ShardError(f'{self.folder}: after {seconds} s no node runs the shards {numbers}, '
                             f'placed by {places}; the cluster has {ray.cluster_resources()}')

    def ask(self, requests):
        sent = [self.workers[number].reply.remote(method, arguments)
                for number, method, *arguments in requests]
        replies = []
        for (number, *_), reply in zip(requests, sent):
            try:
                replies.append(ray.get(reply))
            except ray.exceptions.RayActorError as e:
                replies.append((False, f'{shard_path(self.folder, number)}: its actor ended: {e}'))
        return self.results(replies)

    def close(self):
        for actor in self.workers:
            ray.kill(actor)
        self.workers = []


if __name__ == '__main__':
    ray.init(log_to_driver=False)
    try:
        with RayShards(sys.argv[1]) as rows:
            shards.show(rows, sys.argv[2], 10)
    except ShardError as e:
        sys.exit(f'ray_shards.py: {e}')
