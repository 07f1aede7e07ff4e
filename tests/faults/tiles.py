"""Faults of dense layers whose products go by tiles."""

from planted import Fault

DENSE = "kernels/dense.pxi"
TILED = "kernels/tiled.pxi"
#: Of layers whose products go by tiles.
TILES = [
    Fault("pieces all split to the first", TILED, "split_from(&whole, 0, «begin»)", "0"),
    Fault("transposed pieces to the first", TILED, "split_from(&whole, «begin», 0)", "0"),
    Fault("dz's blocks all to the first", DENSE, "finish_dx(op, 0, first + «row», first", "0"),
    Fault("bias forgotten", DENSE, "multiply_by_tiles(p.c, «k.bias», p.a", "NULL"),
    Fault("dz of another member", DENSE, "<real*>op.scratch + line_reals(«line», parts)", "0"),
    Fault("blocks of the depth overwrite", "kernels/amx.pxi", "p.start = «p.c»", "product.start"),
    Fault("workspaces shared", "layout.pxi", "self.workspaces + «member» * self", "0"),
    Fault(
        "members' rows begin within a tile",
        "layout.pxi",
        "max(self.row_step, «op.row_step»)",
        "0",
    ),
]
