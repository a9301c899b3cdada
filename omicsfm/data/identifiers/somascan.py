"""SomaScan reagents and the proteins they bind, from the example ADAT that somadata carries (SomaScan v4.0, 5k).

The header of an ADAT describes its columns: SeqId, UniProt, gene. A reagent that binds a complex has the accessions of
all its chains. Any ADAT of a user's own reads the same way, so a newer menu needs no newer package.
"""

import re
from io import BufferedIOBase

from omicsfm.data.identifiers.table import Row
from omicsfm.errors import InputError
from omicsfm.namespaces import canonical

MEMBER = "somadata/data/example_data.adat"
LICENCE = "somadata: MIT"
WANTED = {"SeqId": "somascan_seqid", "UniProt": "uniprot"}


def read_adat(stream: BufferedIOBase) -> list[Row]:
    """Rows of an IdentifierTable from the header of an ADAT; its measurements are not read.

    Raises:
        InputError: There is no table with SeqId and UniProt.
    """
    found: dict[str, list[str]] = {}
    begun = False
    for raw in stream:
        cells = raw.decode("utf-8", errors="replace").rstrip("\r\n").split("\t")
        begun = begun or cells[0].startswith("^TABLE_BEGIN")
        for place, cell in enumerate(cells[:64]):  # row metadata stand first, then the name of the line
            if begun and cell in WANTED:
                found[cell] = cells[place + 1 :]
        if len(found) == len(WANTED):
            break
    if len(found) < len(WANTED):
        raise InputError("an .adat needs the lines SeqId and UniProt after ^TABLE_BEGIN; they are not there.")
    rows: list[Row] = []
    for reagent, proteins in zip(found["SeqId"], found["UniProt"], strict=True):
        own = canonical("somascan_seqid", reagent)
        rows.append((f"SeqId:{own}", "somascan_seqid", own, "approved"))
        accessions = [part for part in re.split(r"[\s|,;]+", proteins) if part]
        rows += [(f"SeqId:{own}", "uniprot", accession, "approved") for accession in accessions]
    return rows
