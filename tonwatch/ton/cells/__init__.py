"""Cells, bags of cells, dictionaries and the TVM's stack."""
