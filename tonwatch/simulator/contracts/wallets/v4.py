"""Wallet v4, revision 2."""

from typing import Final

from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.contracts.wallets.common import (
    Signer,
    Storage,
    check_with_seqno,
    code_cell,
    sign_with_seqno,
)
from tonwatch.ton.cells.cell import Cell, cell

CODE: Final = code_cell(
    "te6ccgECFAEAAtQAART/APSkE/S88sgLAQIBIAIPAgFIAwYC5tAB0NMDIXGwkl8E4CLXScEgkl8E4ALTHyGCEH"
    "BsdWe9IoIQZHN0cr2wkl8F4AP6QDAg+kQByMoHy//J0O1E0IEBQNch9AQwXIEBCPQKb6Exs5JfB+AF0z/IJYIQ"
    "cGx1Z7qSODDjDQOCEGRzdHK6kl8G4w0EBQB4AfoA9AQw+CdvIjBQCqEhvvLgUIIQcGx1Z4MesXCAGFAEywUmzx"
    "ZY+gIZ9ADLaRfLH1Jgyz8gyYBA+wAGAIpQBIEBCPRZMO1E0IEBQNcgyAHPFvQAye1UAXKwjiOCEGRzdHKDHrFw"
    "gBhQBcsFUAPPFiP6AhPLassfyz/JgED7AJJfA+ICASAHDgIBIAgNAgFYCQoAPbKd+1E0IEBQNch9AQwAsjKB8v"
    "/ydABgQEI9ApvoTGACASALDAAZrc52omhAIGuQ64X/wAAZrx32omhAEGuQ64WPwAARuMl+1E0NcLH4AFm9JCtv"
    "aiaECAoGuQ+gIYRw1AgIR6STfSmRDOaQPp/5g3gSgBt4EBSJhxWfMYQE+PKDCNcYINMf0x/THwL4I7vyZO1E0N"
    "Mf0x/T//QE0VFDuvKhUVG68qIF+QFUEGT5EPKj+AAkpMjLH1JAyx9SMMv/UhD0AMntVPgPAdMHIcAAn2xRkyDX"
    "SpbTB9QC+wDoMOAhwAHjACHAAuMAAcADkTDjDQOkyMsfEssfy/8QERITAG7SB/oA1NQi+QAFyMoHFcv/ydB3dI"
    "AYyMsFywIizxZQBfoCFMtrEszMyXP7AMhAFIEBCPRR8qcCAHCBAQjXGPoA0z/IVCBHgQEI9FHyp4IQbm90ZXB0"
    "gBjIywXLAlAGzxZQBPoCFMtqEssfyz/Jc/sAAgBsgQEI1xj6ANM/MFIkgQEI9Fnyp4IQZHN0cnB0gBjIywXLAl"
    "AFzxZQA/oCE8tqyx8Syz/Jc/sAAAr0AMntVA=="
)


def data(storage: Storage) -> Cell:
    """The wallet's storage: no plugins."""
    number, owner = storage.seqno.to_bytes(4, "big"), storage.subwallet.to_bytes(4, "big")
    return cell(number + owner + storage.key, tail="0")


def accept(stored: Cell, body: Cell, now: int) -> None:
    """The checks before ``accept_message``, in the contract's action."""
    check_with_seqno(stored, body, now, expired=36, plugins=True)


def signed_body(signer: Signer, messages: tuple[Cell, ...]) -> Cell:
    """The body of an external message that makes the wallet send `messages`."""
    return sign_with_seqno(signer, messages, CellBuilder().uint(0, 8))
