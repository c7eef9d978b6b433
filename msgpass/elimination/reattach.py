"""Which clique hangs beneath which: the same cliques in a tree over which messages cost less.

A message is multiplied into its parent's table, and read off it on the way back: two passes over that table
for every child. A child whose separator lies in a smaller sibling may as well hang beneath that; on the path
to the old parent nothing but the sibling comes between, so that the running intersection property stays.
"""

from __future__ import annotations

from msgpass.elimination.clique_tree import CliqueTree

SIBLINGS = 32  # the smallest ones that are tried, so that hubs of many children stay linear


def reattached(tree: CliqueTree, least: int = 64) -> CliqueTree:
    """The same cliques; each child as far down as leads to smaller tables.

    Children of tables with fewer than ``least`` entries stay where they are.

    Examples
    --------
    >>> from msgpass.elimination.clique_tree import CliqueTree
    >>> from msgpass.elimination.reattach import reattached
    >>> tree = CliqueTree.of([[0, 1], [1, 2, 3], [1, 4]], [1, -1, 1], [2, 2, 9, 9, 9])
    >>> reattached(tree)
    CliqueTree(3 cliques over 5 variables, width 2, largest table 162, in all 184)
    >>> [tree.parent.tolist(), reattached(tree).parent.tolist()]
    [[2, 2, -1], [1, 2, -1]]
    """
    size, parent = tree.table_sizes.tolist(), tree.parent.tolist()
    children: dict[int, list[int]] = {}
    for c, p in enumerate(parent):
        if p >= 0 and size[p] >= least:
            children.setdefault(p, []).append(c)
    moved = False
    held: dict[int, set[int]] = {}
    for p in range(len(tree) - 1, -1, -1):
        own = sorted(children.get(p, []), key=size.__getitem__)
        small = [q for q in own[:SIBLINGS] if size[q] < size[p]]
        for c in reversed(own):  # so that the smallest, which take in others, are still there
            separator = tree.separator(c).tolist()
            for q in small:
                if q == c or parent[q] != p:
                    continue
                if q not in held:
                    held[q] = set(tree[q].tolist())
                if held[q].issuperset(separator):
                    parent[c] = q
                    moved = True
                    if size[q] >= least:
                        children.setdefault(q, []).append(c)
                    break
    return CliqueTree.of([tree[c].tolist() for c in range(len(tree))], parent, tree.sizes) if moved else tree
