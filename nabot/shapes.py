"""The legend of axis names. A tensor `keys_NKE` is indexed [token, key/value head, feature].

| letter | axis |
| --- | --- |
| B | rows of a rectangular batch |
| T | tokens of a row |
| N | tokens of all documents of a batch, end to end: nabot's decoders never see padding |
| S | cached + new tokens of one document |
| L | layers |
| D | width of the residual stream |
| F | width inside the MLP |
| H | query heads |
| K | key/value heads (K divides H) |
| E | features of one head |
| V | vocabulary |
| R | rank of an adapter, summed over the members of a linear group |
"""
