// Storage of the MRAM macro, for simulation: see hdl/mram/array.py.  A chip has the foundry's macro
// in its place.  Verilator finds this file with `-y hdl/mram`.

module mram_array #(
    parameter WORDS = 131072,
    parameter ADDRESS_BITS = 17,
    parameter WORD_BITS = 128
) (
    input  wire                    clk,
    input  wire                    write_enable,
    input  wire [ADDRESS_BITS-1:0] write_address,
    input  wire [WORD_BITS-1:0]    write_data,
    input  wire                    read_enable,
    input  wire [ADDRESS_BITS-1:0] read_address,
    output reg  [WORD_BITS-1:0]    read_data
);

    reg [WORD_BITS-1:0] words [0:WORDS-1];

    always @(posedge clk) begin
        if (write_enable)
            words[write_address] <= write_data;
        if (read_enable)
            read_data <= words[read_address];
    end

endmodule
