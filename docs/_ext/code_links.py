"""Inline code that names something public, such as `nn.Conv2d` or `fastnn.training.fit`, becomes a link to its page."""

from typing import Any

import public_names
from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode


class CodeLinks(SphinxPostTransform):
    default_priority = 400

    def run(self, **_: Any) -> None:
        objects = self.env.domains["py"].objects
        for code in list(self.document.findall(nodes.literal)):
            name = public_names.find(code.astext())
            if name is None or name not in objects or isinstance(code.parent, nodes.reference):
                continue
            found = objects[name]
            if found.docname == self.env.docname:
                continue
            link = make_refnode(self.app.builder, self.env.docname, found.docname, found.node_id, code.deepcopy(), name)
            code.replace_self(link)


def setup(app: Any) -> dict[str, bool]:
    app.add_post_transform(CodeLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
